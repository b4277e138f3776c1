//! A bank account: the domain of every bench. A deposit is about 250 bytes of JSON.

use eventsource_core::{Aggregate, Command, Context, Event, Rejection};
use serde::{Deserialize, Serialize};

/// What can happen to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountEvent {
    /// Money came in.
    Deposited {
        /// How much.
        cents: u64,
        /// The balance after it.
        balance: u64,
        /// From whom.
        from: String,
        /// What for.
        reference: String,
    },
}

impl Event for AccountEvent {
    const NAMES: &'static [&'static str] = &["deposited"];
    fn name(&self) -> &'static str {
        "deposited"
    }
}

/// What an account can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountCommand {
    /// Which account.
    pub account: String,
    /// How much comes in.
    pub cents: u64,
}

impl Command for AccountCommand {
    fn name(&self) -> &'static str {
        "deposit"
    }
    fn aggregate_key(&self) -> &str {
        &self.account
    }
}

/// Nothing may come in.
#[derive(Debug, thiserror::Error)]
#[error("a deposit of nothing is refused, send at least 1 cent")]
pub struct AccountError;

impl Rejection for AccountError {
    fn code(&self) -> &'static str {
        "nothing-deposited"
    }
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What is in it.
    pub balance: u64,
    /// How often something came in.
    pub deposits: u64,
}

impl Account {
    /// The event of a deposit into this account.
    #[must_use]
    pub fn deposited(&self, cents: u64) -> AccountEvent {
        AccountEvent::Deposited {
            cents,
            balance: self.balance + cents,
            from: "Stichting Derdengelden Voorbeeld Incasso, NL00 BANK 0123 4567 89".to_owned(),
            reference: "invoice 2026-0004711, instalment 3 of 12, thank you for your payment; questions: see page 2"
                .to_owned(),
        }
    }
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Rejection = AccountError;

    fn decide(&self, command: &AccountCommand, _: &Context<'_>) -> Result<Vec<AccountEvent>, AccountError> {
        if command.cents == 0 { Err(AccountError) } else { Ok(vec![self.deposited(command.cents)]) }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        let AccountEvent::Deposited { balance, .. } = event;
        self.balance = *balance;
        self.deposits += 1;
    }
}
