//! AWS's protocols, from the server's side.

pub mod params;
pub mod xml;
