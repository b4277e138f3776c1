//! A small domain to try things on: bank accounts, with rules, times and several events a command.

mod account;
mod projectors;

pub use account::{Account, AccountCommand, AccountEvent, AccountRejection};
pub use projectors::{Activities, Activity, Balance, Balances};
