//! An aggregate as small as it gets.

use eventsource_core::{Aggregate, Command, Context, Event, Rejection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default)]
pub(crate) struct Lamp {
    on: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SwitchLamp {
    pub(crate) lamp: String,
    pub(crate) on: bool,
}

impl Command for SwitchLamp {
    fn name(&self) -> &'static str {
        "switch-lamp"
    }

    fn aggregate_key(&self) -> &str {
        &self.lamp
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LampEvent {
    Switched { on: bool },
}

impl Event for LampEvent {
    const NAMES: &'static [&'static str] = &["switched"];

    fn name(&self) -> &'static str {
        "switched"
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the lamp is {} already", if self.on { "on" } else { "off" })]
pub(crate) struct NothingToSwitch {
    on: bool,
}

impl Rejection for NothingToSwitch {
    fn code(&self) -> &'static str {
        "nothing-to-switch"
    }
}

impl Aggregate for Lamp {
    const CATEGORY: &'static str = "lamp";
    type Command = SwitchLamp;
    type Event = LampEvent;
    type Rejection = NothingToSwitch;

    fn decide(&self, command: &SwitchLamp, _: &Context<'_>) -> Result<Vec<LampEvent>, NothingToSwitch> {
        if self.on == command.on {
            return Err(NothingToSwitch { on: self.on });
        }
        Ok(vec![LampEvent::Switched { on: command.on }])
    }

    fn evolve(&mut self, event: &LampEvent) {
        let LampEvent::Switched { on } = event;
        self.on = *on;
    }
}
