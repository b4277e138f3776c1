//! What can be told.

use std::collections::HashSet;

use async_graphql::{Context, Error, ID, Object};
use eventsource_core::{CommandEnvelope, HandleError, IdSource, Projector, RandomIds, Repaired, StreamId};
use eventsource_graphql::{
    CommandWait, RequestContext, command_id, error_with_code, expected_version, internal_error, wait_time,
};

use super::{
    Services,
    command::{CommandResult, WorkflowCommandInput, WorkflowCommandItem, send_error},
    invalid,
    query::{services, stream},
};
use crate::{
    domain::WorkflowCommand,
    projections::Workflows,
    roles::{Reached, Wait},
};

/// Most commands in one request.
const BATCH_COMMANDS_MAX: usize = 100;

/// The root of mutations.
#[derive(Clone, Copy, Debug)]
pub struct Mutation;

/// What can be told.
#[Object]
impl Mutation {
    /// Sends a command to its workflow. It answers when the command has come as far as `wait` says, or after
    /// `timeoutMs`. The same `commandId` again is the same command again and gets the first answer.
    /// With `expectedVersion` the command is refused (code `conflict`) when the workflow is at another version;
    /// 0 says that it must not exist.
    async fn execute_workflow_command(
        &self,
        context: &Context<'_>,
        command: WorkflowCommandInput,
        #[graphql(default_with = "Some(CommandWait::Dispatched)")] wait: Option<CommandWait>,
        command_id: Option<ID>,
        expected_version: Option<i64>,
        timeout_ms: Option<i64>,
    ) -> Result<CommandResult, Error> {
        let time = wait_time(timeout_ms)?;
        let wait = match wait.unwrap_or(CommandWait::Dispatched) {
            CommandWait::Dispatched => Wait::Dispatched,
            CommandWait::Decided => Wait::Decided(time),
            CommandWait::Visible => Wait::Visible(time),
        };
        let request = RequestContext::of(context);
        let envelope =
            envelope(command, command_id.as_ref(), &request)?.expecting(self::expected_version(expected_version)?);
        let (id, workflow) = (envelope.id, envelope.command.workflow_id().to_owned());
        let reached = services(context)?.commands.send(envelope, wait).await.map_err(|error| send_error(&error))?;
        Ok(CommandResult::new(workflow, id, &reached, &request))
    }

    /// Sends up to 100 commands in their order with one durable write. Each is answered as with `wait: DISPATCHED`:
    /// one that was decided before gets its first answer. No two of them may have the same `commandId`.
    #[graphql(complexity = "100 + child_complexity")]
    async fn dispatch_workflow_commands(
        &self,
        context: &Context<'_>,
        commands: Vec<WorkflowCommandItem>,
    ) -> Result<Vec<CommandResult>, Error> {
        if commands.len() > BATCH_COMMANDS_MAX {
            let count = commands.len();
            return Err(invalid(format!("{count} commands in one request, at most {BATCH_COMMANDS_MAX} are allowed")));
        }
        let request = RequestContext::of(context);
        let envelopes = commands.into_iter().map(|item| envelope(item.command, item.command_id.as_ref(), &request));
        let envelopes: Vec<_> = envelopes.collect::<Result<_, _>>()?;
        let mut ids = HashSet::with_capacity(envelopes.len());
        if let Some(twice) = envelopes.iter().find(|envelope| !ids.insert(envelope.id)) {
            return Err(invalid(format!("command id {} is given to more than one command, none was sent", twice.id)));
        }
        let names: Vec<_> =
            envelopes.iter().map(|envelope| (envelope.id, envelope.command.workflow_id().to_owned())).collect();
        let reached: Vec<Reached> =
            services(context)?.commands.send_all(envelopes).await.map_err(|error| send_error(&error))?;
        let results = names.into_iter().zip(&reached);
        Ok(results.map(|((id, workflow), reached)| CommandResult::new(workflow, id, reached, &request)).collect())
    }

    /// Projects the event at which a workflow stands still again; false when it stands still again.
    async fn retry_parked(&self, context: &Context<'_>, projection: String, workflow_id: ID) -> Result<bool, Error> {
        let (services, stream) = parked(context, &projection, &workflow_id)?;
        repaired(services.projection.retry(stream).await)
    }

    /// Gives up the one event at which a workflow stands still; false when it stands still at a later one.
    async fn discard_parked(&self, context: &Context<'_>, projection: String, workflow_id: ID) -> Result<bool, Error> {
        let (services, stream) = parked(context, &projection, &workflow_id)?;
        repaired(services.projection.discard(stream).await)
    }
}

fn envelope(
    command: WorkflowCommandInput,
    id: Option<&ID>,
    request: &RequestContext,
) -> Result<CommandEnvelope<WorkflowCommand>, Error> {
    let id = command_id(id)?.unwrap_or_else(|| RandomIds.command_id());
    Ok(CommandEnvelope::new(id, command.into_command()?, request.to_metadata()))
}

fn parked<'a>(context: &Context<'a>, projection: &str, workflow_id: &ID) -> Result<(&'a Services, StreamId), Error> {
    if projection != Workflows::NAME {
        return Err(invalid(format!("there is no projection {projection:?}, only {:?}", Workflows::NAME)));
    }
    Ok((services(context)?, stream(workflow_id)?))
}

fn repaired(result: Result<Repaired, HandleError>) -> Result<bool, Error> {
    match result {
        Ok(Repaired::Released) => Ok(true),
        Ok(Repaired::ParkedAgain(_)) => Ok(false),
        Err(error @ HandleError::NotParked { .. }) => Err(invalid(error.to_string())),
        Err(error @ (HandleError::NotRunning { .. } | HandleError::Interrupted { .. })) => {
            Err(error_with_code(error.to_string(), "UNAVAILABLE"))
        }
        Err(error) => Err(internal_error(&error)),
    }
}
