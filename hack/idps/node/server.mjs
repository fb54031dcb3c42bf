// An OpenID provider made with oidc-provider, on loopback, for tests of token exchange against it. The package knows
// no token exchange, so the grant is ours: registered with the public registerGrantType, issuing the package's own
// JWT access tokens, behind its own client authentication.
//
// Run by itself, it prints one line of JSON with its issuer when it answers. Environment:
//   PORT    the loopback port, 0 or absent for any free one
//   CONFIG  a JSON file with {clients, subjectIssuers}; see demoConfig

import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

import { createLocalJWKSet, createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';

// oidc-provider 9 is written for Node.js 22, which has URL.parse; Node.js 20 has not. It is called at run time only,
// but the package is imported after this all the same.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

const { default: Provider, errors } = await import('oidc-provider');

export const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const tokenTypes = {
  access: 'urn:ietf:params:oauth:token-type:access_token',
  id: 'urn:ietf:params:oauth:token-type:id_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
};

const tokenLifetime = 3600;

// Tokens say who the client is by client_id; azp and act are added here. The grant handler leaves act on the request's
// context, which is the one thing that both it and this hook of the package see.
function extraTokenClaims(ctx, token) {
  return { azp: token.clientId, ...(ctx.oidc.act && { act: ctx.oidc.act }) };
}

/** A signing key, as a private JWK. */
function newKey(kid) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' };
}

/** verifier returns a function from a JWT to its claims, for JWTs of the trusted issuers that are for the audience. */
function verifier(trusted, audience) {
  const keys = new Map(trusted.map(({ issuer, jwks, jwks_uri: uri }) => [
    issuer,
    jwks ? createLocalJWKSet(jwks) : createRemoteJWKSet(new URL(uri)),
  ]));
  return async (token) => {
    // The issuer says which keys to verify with, so it is read before anything is verified.
    const { iss: issuer } = decodeJwt(token);
    if (!keys.has(issuer)) {
      throw new Error(`issuer ${issuer} is not trusted`);
    }
    const options = { issuer, audience, algorithms: ['RS256', 'ES256'], requiredClaims: ['sub', 'exp'] };
    const { payload } = await jwtVerify(token, keys.get(issuer), options);
    return payload;
  };
}

/** verifyParam verifies the token in the request parameter name; a bad one is invalid_request: RFC 8693, 2.2.2. */
async function verifyParam(ctx, verify, name) {
  const { [name]: token, [`${name}_type`]: type } = ctx.oidc.params;
  if (!token) {
    throw new errors.InvalidRequest(`missing required parameter '${name}'`);
  }
  if (!Object.values(tokenTypes).includes(type)) {
    throw new errors.InvalidRequest(`${name}_type is missing or not supported`);
  }
  try {
    return await verify(token);
  } catch (cause) {
    throw new errors.InvalidRequest(`${name} is invalid`, undefined, { cause });
  }
}

/** actor is the act claim of the new token: the actor token's subject, with the subject token's own actor inside. */
async function actor(ctx, verify, subject) {
  if (!ctx.oidc.params.actor_token) {
    return subject.act;
  }
  const { iss, sub } = await verifyParam(ctx, verify, 'actor_token');
  return { iss, sub, ...(subject.act && { act: subject.act }) };
}

/** audienceOf is the one audience that the request names, if the client may ask for it. */
function audienceOf(ctx, allowed) {
  const { audience, resource } = ctx.oidc.params;
  const [target, ...others] = [audience, resource].flat().filter((value) => value !== undefined);
  if (target === undefined || others.length > 0) {
    throw new errors.InvalidTarget('exactly one audience or resource must be named');
  }
  if (!allowed.get(ctx.oidc.client.clientId)?.includes(target)) {
    throw new errors.InvalidTarget('audience is not allowed');
  }
  return target;
}

/** exchangeHandler is the token exchange grant. The package has authenticated the client when it is called. */
function exchangeHandler(provider, verify, allowed) {
  return async (ctx) => {
    const requested = ctx.oidc.params.requested_token_type ?? tokenTypes.access;
    if (requested !== tokenTypes.access && requested !== tokenTypes.jwt) {
      throw new errors.InvalidRequest('requested_token_type is not supported');
    }
    const subject = await verifyParam(ctx, verify, 'subject_token');
    ctx.oidc.act = await actor(ctx, verify, subject);
    const audience = audienceOf(ctx, allowed);
    const token = new provider.AccessToken({
      client: ctx.oidc.client,
      accountId: subject.sub,
      gty: tokenExchange,
      // The package makes opaque tokens except for a resource server that wants JWTs. Its own lookup of resource
      // servers takes absolute URIs alone, which sts.amazonaws.com is not, so the resource server is made here.
      resourceServer: new provider.ResourceServer(audience, { audience, scope: '', accessTokenFormat: 'jwt' }),
      expiresIn: tokenLifetime,
    });
    ctx.oidc.entity('AccessToken', token);
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: requested,
      token_type: token.tokenType,
      expires_in: token.expiration,
    };
  };
}

/** newProvider makes the provider that signs with the first of the keys and publishes them all. */
function newProvider(issuer, { clients, subjectIssuers }, keys) {
  const allowed = new Map(clients.map(({ client_id: id, audiences }) => [id, audiences]));
  const provider = new Provider(issuer, {
    // What is not metadata of the package's clients is taken out: the package refuses metadata it does not know.
    clients: clients.map(({ audiences, ...client }) => ({
      redirect_uris: [],
      response_types: [],
      grant_types: [tokenExchange],
      ...client,
    })),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    jwks: { keys },
    extraTokenClaims,
    features: { devInteractions: { enabled: false } },
  });
  // A token of the provider itself is exchanged as well, if it is meant for the provider.
  const publicKeys = keys.map(({ kty, n, e, kid, alg, use }) => ({ kty, n, e, kid, alg, use }));
  const trusted = [...subjectIssuers, { issuer, jwks: { keys: publicKeys } }];
  const parameters = [
    'audience', 'resource', 'scope', 'requested_token_type',
    'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type',
  ];
  const handler = exchangeHandler(provider, verifier(trusted, issuer), allowed);
  provider.registerGrantType(tokenExchange, handler, parameters, ['audience', 'resource']);
  return provider;
}

/**
 * start serves a provider on loopback, with POST /rotate beside the package's endpoints, which makes a new signing key
 * and tells its id; with ?forget=true the keys before it are no longer published. The package has no such thing, so
 * another provider takes the place of the one before.
 */
export async function start({ port = 0, ...config }) {
  let handle;
  const server = createServer((request, response) => handle(request, response));
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${server.address().port}`;

  let keys = [];
  let made = 0;
  const rotate = (forget) => {
    made += 1;
    keys = [newKey(`key-${made}`), ...(forget ? [] : keys)];
    const callback = newProvider(issuer, config, keys).callback();
    handle = (request, response) => {
      const url = new URL(request.url, issuer);
      if (request.method === 'POST' && url.pathname === '/rotate') {
        rotate(url.searchParams.get('forget') === 'true');
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ kid: keys[0].kid }));
      } else {
        callback(request, response);
      }
    };
  };
  rotate(false);
  return { issuer, close: () => server.close() };
}

/** demoConfig has a client of each method with a secret, and trusts no issuer but the one in SUBJECT_ISSUER, if any. */
function demoConfig() {
  const audiences = ['sts.amazonaws.com'];
  const issuer = process.env.SUBJECT_ISSUER;
  return {
    clients: [
      {
        client_id: 'basic',
        client_secret: 'basic-secret',
        token_endpoint_auth_method: 'client_secret_basic',
        audiences,
      },
      {
        client_id: 'post',
        client_secret: 'post-secret',
        token_endpoint_auth_method: 'client_secret_post',
        audiences,
      },
    ],
    subjectIssuers: issuer ? [{ issuer, jwks_uri: `${issuer}/keys` }] : [],
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { CONFIG, PORT = '0' } = process.env;
  const config = CONFIG ? JSON.parse(await readFile(CONFIG, 'utf8')) : demoConfig();
  const { issuer } = await start({ ...config, port: Number(PORT) });
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
}
