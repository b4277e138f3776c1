//! An event-sourced parcel, durable on this machine: `cargo run -p quickstart`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::Path, sync::Arc};

use eventsource_core::{
    Aggregate, Command, CommandEnvelope, CommandHandler, Context, Event, IdSource, Metadata, RandomIds, Rejection,
};
use eventsource_embedded::{Embedded, EmbeddedOptions};
use serde::{Deserialize, Serialize};

// What can happen. Names are for ever: serde's variant names are the names of the events.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ParcelEvent {
    Shipped { to: String },
    Delivered,
}

impl Event for ParcelEvent {
    const NAMES: &'static [&'static str] = &["shipped", "delivered"];
    fn name(&self) -> &'static str {
        match self {
            Self::Shipped { .. } => "shipped",
            Self::Delivered => "delivered",
        }
    }
}

// What a parcel can be told.
#[derive(Debug, Serialize, Deserialize)]
enum ParcelCommand {
    Ship { parcel: String, to: String },
    Deliver { parcel: String },
}

impl Command for ParcelCommand {
    fn name(&self) -> &'static str {
        if matches!(self, Self::Ship { .. }) { "ship" } else { "deliver" }
    }
    fn aggregate_key(&self) -> &str {
        let (Self::Ship { parcel, .. } | Self::Deliver { parcel }) = self;
        parcel
    }
}

// What its rules say when they say no.
#[derive(Debug, thiserror::Error)]
#[error("a parcel is shipped once, then delivered once")]
struct OutOfOrder;

impl Rejection for OutOfOrder {
    fn code(&self) -> &'static str {
        "out-of-order"
    }
}

// The parcel decides on events, and is the fold of its events.
#[derive(Clone, Default)]
struct Parcel {
    shipped: bool,
    delivered: bool,
}

impl Aggregate for Parcel {
    const CATEGORY: &'static str = "parcel";
    type Command = ParcelCommand;
    type Event = ParcelEvent;
    type Rejection = OutOfOrder;

    fn decide(&self, command: &ParcelCommand, _: &Context<'_>) -> Result<Vec<ParcelEvent>, OutOfOrder> {
        match command {
            ParcelCommand::Ship { to, .. } if !self.shipped => Ok(vec![ParcelEvent::Shipped { to: to.clone() }]),
            ParcelCommand::Deliver { .. } if self.shipped && !self.delivered => Ok(vec![ParcelEvent::Delivered]),
            _ => Err(OutOfOrder),
        }
    }
    fn evolve(&mut self, event: &ParcelEvent) {
        self.shipped = true;
        self.delivered = matches!(event, ParcelEvent::Delivered);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let engine = Embedded::open(Path::new("quickstart-data"), EmbeddedOptions::default())?;
    let parcels = CommandHandler::<Parcel>::new(Arc::new(engine.events()), Arc::new(engine.outcomes()));
    let parcel = RandomIds.command_id().to_string();
    let ship = ParcelCommand::Ship { parcel: parcel.clone(), to: "Ada".to_owned() };
    for command in [ship, ParcelCommand::Deliver { parcel: parcel.clone() }, ParcelCommand::Deliver { parcel }] {
        let command = CommandEnvelope::new(RandomIds.command_id(), command, Metadata::default());
        match parcels.execute(&command).await {
            Ok(done) => println!("{} is at {:?} after {:?}", done.stream, done.version, done.events),
            Err(error) => println!("{error}: {}", error.source().map_or_else(String::new, ToString::to_string)),
        }
    }
    Ok(engine.close().await?)
}
