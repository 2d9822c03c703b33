//! AWS's protocols, from the server's side.

mod amplify;
pub mod chunked;
mod guardduty;
pub mod params;
pub mod protocol;
pub mod request;
pub mod response;
pub mod rest;
mod rolesanywhere;
pub mod xml;
