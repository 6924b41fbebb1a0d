// A real OpenID provider for the tests, on loopback only.
//
// It issues RS256 JWT access tokens (RFC 9068): to one machine client by the client_credentials grant, and to clients of users
// by refresh tokens that rotate at every use. A refresh token that is used twice ends the whole grant. What a test needs beside
// the protocol is done under /control, by POST:
//
//   /control/rotate                        a fresh signing key becomes the first one; the old ones stay published
//   /control/session?client=C&subject=S    a user has logged in: the pair that the client got for it, as JSON
//   /control/life?seconds=N                how long access tokens live from now on
//   /control/lose?answers=N                the next N answers of the token endpoint are lost after it has done what was asked
//   /control/count                         how many refreshes, reuses and revoked grants there have been, as JSON
//
// Prints `listening PORT` once it can be asked. Usage: node provider.mjs [PORT]

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2] ?? 0);
const audience = 'urn:countersign:test';
const secret = 'only-for-tests-0123456789abcdef';

function freshKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

/// The public half of the key with which the proxy signs in the tests.
const proxyKey = createPublicKey(readFileSync(new URL('../../conf/keys/demo-assertion.pem', import.meta.url))).export({ format: 'jwk' });

// The provider's own memory holds 1,000 things; grants must outlast any number of refreshes.
const stored = new Map();
class Memory {
  constructor(kind) { this.kind = kind; }
  key(id) { return `${this.kind}:${id}`; }
  async upsert(id, payload) { stored.set(this.key(id), payload); }
  async find(id) { return stored.get(this.key(id)); }
  async findByUid(uid) { return [...stored.values()].find((payload) => payload.uid === uid); }
  async findByUserCode(code) { return [...stored.values()].find((payload) => payload.userCode === code); }
  async consume(id) { stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { stored.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of stored) if (payload.grantId === grantId) stored.delete(key);
  }
}

let keys = [freshKey()];
let life = 300;
let losing = 0;
const count = { refreshed: 0, refused: 0, revoked: 0 };
let provider;
let callback;

const client = (client_id, token_endpoint_auth_method, more = { client_secret: secret }) => ({
  client_id,
  token_endpoint_auth_method,
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: ['https://app.example/callback'],
  response_types: ['code'],
  ...more,
});

const server = () => ({
  scope: 'read',
  audience,
  accessTokenTTL: life,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'RS256' } },
});

function establish(issuer) {
  provider = new Provider(issuer, {
    adapter: Memory,
    jwks: { keys },
    clients: [
      {
        client_id: 'machine',
        client_secret: secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        scope: 'read',
      },
      client('web-basic', 'client_secret_basic'),
      client('web-post', 'client_secret_post'),
      client('web-key', 'private_key_jwt', { jwks: { keys: [proxyKey] } }),
      client('web-named', 'private_key_jwt', { jwks: { keys: [{ ...proxyKey, kid: 'proxy-1' }] } }),
      client('web-none', 'none', {}),
    ],
    scopes: ['openid', 'offline_access', 'read'],
    rotateRefreshToken: true,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: server,
      },
    },
  });
  provider.on('grant.success', (ctx) => { count.refreshed += ctx.oidc.params.grant_type === 'refresh_token' ? 1 : 0; });
  provider.on('grant.error', (ctx) => { count.refused += ctx.oidc.params?.grant_type === 'refresh_token' ? 1 : 0; });
  provider.on('grant.revoked', () => { count.revoked += 1; });
  callback = provider.callback();
}

/// The pair that `clientId` gets when `subject` has logged in and agreed.
async function login(clientId, subject) {
  const client = await provider.Client.find(clientId);
  const grant = new provider.Grant({ clientId, accountId: subject });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(audience, 'read');
  const grantId = await grant.save();
  const about = { client, accountId: subject, grantId, gty: 'authorization_code' };
  const access = new provider.AccessToken({ ...about, scope: 'read' });
  access.resourceServer = new provider.ResourceServer(audience, server());
  const refresh = new provider.RefreshToken({ ...about, resource: audience, scope: 'openid offline_access read' });
  return { access_token: await access.save(), refresh_token: await refresh.save() };
}

async function control(url) {
  const of = (name) => url.searchParams.get(name);
  switch (url.pathname) {
    case '/control/rotate':
      keys = [freshKey(), ...keys];
      establish(origin());
      return { keys: keys.length };
    case '/control/session': return login(of('client'), of('subject'));
    case '/control/life': life = Number(of('seconds')); return { life };
    case '/control/lose': losing = Number(of('answers')); return { losing };
    case '/control/count': return count;
    default: return { unknown: url.pathname };
  }
}

const origin = () => `http://127.0.0.1:${listener.address().port}`;

const listener = createServer((request, response) => {
  const url = new URL(request.url, origin());
  if (request.method === 'POST' && url.pathname.startsWith('/control/')) {
    control(url).then(
      (said) => response.end(JSON.stringify(said)),
      (fault) => { response.statusCode = 500; response.end(String(fault.stack)); },
    );
    return;
  }
  if (url.pathname === '/token' && 0 < losing) {
    losing -= 1;
    response.end = () => request.socket.destroy();
  }
  callback(request, response);
});

listener.listen(port, '127.0.0.1', () => {
  establish(origin());
  process.stdout.write(`listening ${listener.address().port}\n`);
});

// The one who started it holds its standard input; when that closes, so does this.
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
