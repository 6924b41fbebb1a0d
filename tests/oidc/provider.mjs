// A real OpenID provider for the tests, on loopback only.
//
// It issues RS256 JWT access tokens (RFC 9068) for one machine client by the client_credentials grant. Two lines of
// control beside the protocol itself: POST /control/rotate makes a fresh signing key the first one and keeps
// publishing the old one, as an operator would; nothing else is out of the ordinary.
//
// Prints `listening PORT` once it can be asked. Usage: node provider.mjs [PORT]

import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2] ?? 0);
const audience = 'urn:countersign:test';

function freshKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

let keys = [freshKey()];
let callback;

function establish(issuer) {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: 'machine',
      client_secret: 'only-for-tests-0123456789abcdef',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      scope: 'read',
    }],
    scopes: ['read'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'read',
          audience,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  callback = provider.callback();
}

const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/control/rotate') {
    keys = [freshKey(), ...keys];
    establish(`http://127.0.0.1:${server.address().port}`);
    response.end(JSON.stringify({ keys: keys.length }));
    return;
  }
  callback(request, response);
});

server.listen(port, '127.0.0.1', () => {
  establish(`http://127.0.0.1:${server.address().port}`);
  process.stdout.write(`listening ${server.address().port}\n`);
});

// The one who started it holds its standard input; when that closes, so does this.
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
