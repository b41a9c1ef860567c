// WebSocket clients as a program outside the browser makes them: npm's graphql-ws over npm's ws, with a token or a cookie.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

/** A client that never reconnects by itself, so that a test sees each connection's end; `onSocket` gets the raw socket. */
export function socketClient({ url, token, cookie, onSocket = () => {} }) {
  class Socket extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols, { headers: cookie ? { cookie } : {} });
    }
  }
  return createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: Socket,
    connectionParams: token ? { Authorization: `Bearer ${token}` } : {},
    retryAttempts: 0,
    on: { connected: onSocket },
  });
}
