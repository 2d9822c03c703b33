//! Survey, plan, apply, prove. Knows no AWS service: actions and sources come in through [`action`], everything outside
//! through [`ports`].

pub mod action;
pub mod graph;
pub mod ports;
#[cfg(test)]
mod test_plans;
