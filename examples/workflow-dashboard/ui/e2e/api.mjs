// Another client of the same server, without a browser: GraphQL by fetch.

const commandFields = 'success workflowId commandId version code message traceId';

/** @param {URL} server */
export function createApi(server) {
  const endpoint = new URL('/graphql', server);

  async function ask(query, variables = {}) {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} from the server: ${text.slice(0, 500)}`);
    const { data, errors } = JSON.parse(text);
    if (errors) throw new Error(errors.map(({ message }) => message).join('; '));
    return data;
  }

  return {
    ask,

    /** Carries out one command and waits until it is visible; throws when it is rejected. */
    async execute(command) {
      const { executeWorkflowCommand: result } = await ask(
        `mutation ($command: WorkflowCommandInput!) {
          executeWorkflowCommand(command: $command, wait: VISIBLE, timeoutMs: 10000) { ${commandFields} }
        }`,
        { command },
      );
      if (!result.success) throw new Error(`rejected: ${result.code}: ${result.message}`);
      return result;
    },

    start(workflowId, definition = 'e2e') {
      return this.execute({ startWorkflow: { workflowId, definition, initiator: 'e2e-api', initialParams: { from: 'api' } } });
    },

    /** Sends up to 100 commands at once, without waiting for their effect. */
    async dispatch(commands) {
      const { dispatchWorkflowCommands: results } = await ask(
        `mutation ($commands: [WorkflowCommandItem!]!) { dispatchWorkflowCommands(commands: $commands) { ${commandFields} } }`,
        { commands: commands.map((command) => ({ command })) },
      );
      const refused = results.find(({ success }) => !success);
      if (refused) throw new Error(`refused: ${refused.code}: ${refused.message}`);
      return results;
    },

    async version(id) {
      const { workflow } = await ask('query ($id: ID!) { workflow(id: $id) { version } }', { id });
      return workflow?.version ?? 0;
    },
  };
}
