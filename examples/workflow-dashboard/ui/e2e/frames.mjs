// Notes every WebSocket frame of a page, so that repeated and lost pushes can be counted.

/** @param {import('playwright-core').Page} page */
export function recordFrames(page) {
  /** @type {{ at: number, sent: boolean, socket: number, message: any }[]} */
  const frames = [];
  let sockets = 0;
  page.on('websocket', (socket) => {
    const number = ++sockets;
    const note = (sent) => ({ payload }) => {
      frames.push({ at: Date.now(), sent, socket: number, message: JSON.parse(payload.toString()) });
    };
    socket.on('framesent', note(true));
    socket.on('framereceived', note(false));
  });

  const pushes = (field) => frames.flatMap(({ sent, message }) => (!sent && message.type === 'next' && message.payload.data?.[field]) || []);
  return {
    frames,
    get sockets() {
      return sockets;
    },
    /** All states pushed to the list, in the order of their arrival. */
    changedWorkflows: () => pushes('workflowsChanged').flatMap(({ workflows }) => workflows),
    /** Positions of the pushes; one without workflows only says how far the server has come. */
    changedPositions: ({ empty = true } = {}) =>
      pushes('workflowsChanged')
        .filter(({ workflows }) => empty || workflows.length > 0)
        .map(({ position }) => position),
    updatedVersions: () => pushes('workflowUpdated').map(({ version }) => version),
    /** The variables of each subscription sent under this operation's name, one for each connection. */
    subscribed: (operationName) =>
      frames
        .filter(({ sent, message }) => sent && message.type === 'subscribe' && message.payload.operationName === operationName)
        .map(({ message }) => message.payload.variables),
  };
}
