//! An aggregate and a projection as small as they get.

use eventsource_core::{Aggregate, Command, Context, Envelope, Event, ProjectError, Projector, Rejection, Scope};
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

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LampView {
    pub(crate) switched: u32,
}

#[derive(Debug)]
pub(crate) struct Lamps;

impl Projector for Lamps {
    const NAME: &'static str = "lamps";
    const VERSION: u32 = 1;
    const SCOPE: Scope = Scope::Stream;
    const CATEGORY: &'static str = "lamp";
    type Event = LampEvent;
    type View = LampView;
    const INDEXES: &'static [&'static str] = &[];

    fn key(&self, event: &Envelope<LampEvent>) -> Option<String> {
        Some(event.record.stream.key().to_owned())
    }

    fn project(&self, view: Option<LampView>, _: &Envelope<LampEvent>) -> Result<Option<LampView>, ProjectError> {
        Ok(Some(LampView { switched: view.unwrap_or_default().switched + 1 }))
    }
}
