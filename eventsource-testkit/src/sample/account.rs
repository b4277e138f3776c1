//! The aggregate.

use std::time::{SystemTime, UNIX_EPOCH};

use eventsource_core::{Aggregate, Command, Context, Event, Rejection};
use serde::{Deserialize, Serialize};

/// An order to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountCommand {
    /// Open it.
    Open {
        /// Which account.
        account: String,
        /// Whose it is.
        owner: String,
    },
    /// Put money in; nothing happens for 0.
    Deposit {
        /// Which account.
        account: String,
        /// How much.
        cents: u64,
    },
    /// Take money out.
    Withdraw {
        /// Which account.
        account: String,
        /// How much.
        cents: u64,
    },
    /// Pay out what is left, and close it.
    Close {
        /// Which account.
        account: String,
    },
}

impl Command for AccountCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Deposit { .. } => "deposit",
            Self::Withdraw { .. } => "withdraw",
            Self::Close { .. } => "close",
        }
    }

    fn aggregate_key(&self) -> &str {
        match self {
            Self::Open { account, .. }
            | Self::Deposit { account, .. }
            | Self::Withdraw { account, .. }
            | Self::Close { account } => account,
        }
    }
}

/// What happened to an account, and when it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountEvent {
    /// It was opened.
    Opened {
        /// Whose it is.
        owner: String,
    },
    /// Money was put in.
    Deposited {
        /// How much.
        cents: u64,
        /// Nanoseconds since 1970, so that two decisions never look the same by chance.
        at: u64,
    },
    /// Money was taken out.
    Withdrawn {
        /// How much.
        cents: u64,
        /// Nanoseconds since 1970.
        at: u64,
    },
    /// It was closed.
    Closed,
}

impl Event for AccountEvent {
    const NAMES: &'static [&'static str] = &["opened", "deposited", "withdrawn", "closed"];

    fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Deposited { .. } => "deposited",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Closed => "closed",
        }
    }
}

/// What the rules of an account say when they say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountRejection {
    /// It was never opened, or is closed.
    #[error("the account is not open")]
    NotOpen,
    /// It is open, or was.
    #[error("the account was opened before")]
    AlreadyOpen,
    /// There is less in it than is asked for.
    #[error("the account holds {cents} cents")]
    Overdrawn {
        /// What it holds.
        cents: u64,
    },
}

impl Rejection for AccountRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotOpen => "not-open",
            Self::AlreadyOpen => "already-open",
            Self::Overdrawn { .. } => "overdrawn",
        }
    }
}

/// An account: the fold of its events.
///
/// ```
/// use eventsource_testkit::{given, sample::{Account, AccountCommand, AccountEvent}};
///
/// given::<Account>([AccountEvent::Opened { owner: "ada".into() }])
///     .when(AccountCommand::Withdraw { account: "1".into(), cents: 5 })
///     .then_rejected("overdrawn");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Whose it is, once it was opened.
    pub owner: Option<String>,
    /// What it holds.
    pub cents: u64,
    /// Whether it was closed.
    pub closed: bool,
    /// How many events it was folded from.
    pub changes: u64,
    /// When money moved last, in nanoseconds since 1970.
    pub moved_at: u64,
}

impl Account {
    fn ensure_open(&self) -> Result<(), AccountRejection> {
        if self.owner.is_none() || self.closed { Err(AccountRejection::NotOpen) } else { Ok(()) }
    }
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Rejection = AccountRejection;

    fn decide(&self, command: &AccountCommand, context: &Context<'_>) -> Result<Vec<AccountEvent>, AccountRejection> {
        let at = nanos(context.now);
        match command {
            AccountCommand::Open { owner, .. } => match self.owner {
                None => Ok(vec![AccountEvent::Opened { owner: owner.clone() }]),
                Some(_) => Err(AccountRejection::AlreadyOpen),
            },
            AccountCommand::Deposit { cents, .. } => {
                self.ensure_open()?;
                Ok(if *cents == 0 { Vec::new() } else { vec![AccountEvent::Deposited { cents: *cents, at }] })
            }
            AccountCommand::Withdraw { cents, .. } => {
                self.ensure_open()?;
                if *cents > self.cents {
                    return Err(AccountRejection::Overdrawn { cents: self.cents });
                }
                Ok(vec![AccountEvent::Withdrawn { cents: *cents, at }])
            }
            AccountCommand::Close { .. } => {
                self.ensure_open()?;
                let rest = (self.cents > 0).then_some(AccountEvent::Withdrawn { cents: self.cents, at });
                Ok(rest.into_iter().chain([AccountEvent::Closed]).collect())
            }
        }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        self.changes += 1;
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents, at } => {
                self.cents = self.cents.saturating_add(*cents);
                self.moved_at = *at;
            }
            AccountEvent::Withdrawn { cents, at } => {
                self.cents = self.cents.saturating_sub(*cents);
                self.moved_at = *at;
            }
            AccountEvent::Closed => self.closed = true,
        }
    }
}

/// A clock before 1970 or after 2554 counts as 1970.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Account, AccountCommand, AccountEvent};
    use crate::given;

    fn opened() -> AccountEvent {
        AccountEvent::Opened { owner: "ada".into() }
    }

    fn deposited(cents: u64) -> AccountEvent {
        AccountEvent::Deposited { cents, at: 7 }
    }

    fn account() -> String {
        "1".into()
    }

    #[test]
    fn closing_pays_out_what_is_left() {
        let now = UNIX_EPOCH + Duration::from_nanos(9);
        given::<Account>([opened(), deposited(5)])
            .at(now)
            .when(AccountCommand::Close { account: account() })
            .then([AccountEvent::Withdrawn { cents: 5, at: 9 }, AccountEvent::Closed]);
        given::<Account>([opened()]).when(AccountCommand::Close { account: account() }).then([AccountEvent::Closed]);
    }

    #[test]
    fn rules_say_no() {
        given::<Account>([]).when(AccountCommand::Close { account: account() }).then_rejected("not-open");
        given::<Account>([opened(), AccountEvent::Closed])
            .when(AccountCommand::Deposit { account: account(), cents: 1 })
            .then_rejected("not-open");
        given::<Account>([opened()])
            .when(AccountCommand::Open { account: account(), owner: "bob".into() })
            .then_rejected("already-open");
        given::<Account>([opened(), deposited(5)])
            .when(AccountCommand::Withdraw { account: account(), cents: 6 })
            .then_rejected("overdrawn");
    }

    #[test]
    fn depositing_nothing_changes_nothing() {
        given::<Account>([opened()]).when(AccountCommand::Deposit { account: account(), cents: 0 }).then([]);
    }
}
