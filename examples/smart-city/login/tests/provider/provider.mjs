// An identity provider of a city, by the library `oidc-provider`, for tests. It prints its address, and ends with its standard input.
//
// Beside what a provider has, under /test/:
//   machine?client=NAME&resource=AUDIENCE            an access token for a program (client credentials)
//   user?name=NAME&resource=AUDIENCE                 the tokens of a user, who logs in with a browser (code with PKCE)
//   rotate                                           other keys from now on
//   keys?answer=good|down|slow|long|endless|page     what becomes of requests for the keys; how many there were since then
//   other                                            the address of a provider with the same keys and another name

import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

// Who and what there is. A program is a client that has what a user has.
const attributes = {
  hiro: { departments: ["Rescue Service"], level: 3, city: "midori", home_city: "midori" },
  emi: { departments: ["Rescue Service", "Weather Office", "Parks"], level: 1 },
  nobody: {},
  wrong: { departments: { rescue: true }, level: 1 },
  "wrong-level": { departments: [], level: "9" },
};
const programs = ["hiro", "emi", "nobody", "wrong", "wrong-level", "short", "early", "long", "ed", "old-type"];

function newKeys() {
  const key = (type, options, alg) => ({
    ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }),
    alg, use: "sig", kid: randomBytes(8).toString("hex"),
  });
  return [
    key("ec", { namedCurve: "P-256" }, "ES256"),
    key("ed25519", {}, "EdDSA"),
    key("rsa", { modulusLength: 2048 }, "RS256"),
  ];
}

function provider(issuer, keys) {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      ...programs.map((name) => ({
        client_id: name, client_secret: "secret", grant_types: ["client_credentials"], redirect_uris: [],
        response_types: [], id_token_signed_response_alg: "ES256",
      })),
      {
        client_id: "browser", application_type: "native", token_endpoint_auth_method: "none",
        redirect_uris: ["http://127.0.0.1/back"], id_token_signed_response_alg: "ES256",
      },
    ],
    cookies: { keys: ["tests"] },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource, client) => ({
          scope: "read",
          accessTokenFormat: "jwt",
          accessTokenTTL: { short: 4, long: 7200 }[client.clientId] ?? 600,
          jwt: { sign: { alg: client.clientId === "ed" ? "EdDSA" : "ES256" } },
        }),
      },
    },
    extraTokenClaims: (_, token) => attributes[token.accountId ?? token.clientId] ?? attributes.emi,
    formats: {
      customizers: {
        jwt: (_, token, jwt) => {
          if (token.clientId === "early") jwt.payload.nbf = Math.floor(Date.now() / 1000) + 300;
          if (token.clientId === "old-type") jwt.header = { ...jwt.header, typ: "JWT" };
        },
      },
    },
  });
  return provider.callback();
}

let answer = "good", fetches = 0, own, other, keys = newKeys();

function keysAnswer(response) {
  fetches += 1;
  switch (answer) {
    case "down": return response.destroy();
    case "slow": return; // never
    case "page": return response.end("<html>log in first</html>");
    case "long": return response.end(JSON.stringify({ keys: [], more: "x".repeat(1 << 20) }));
    case "endless": {
      response.writeHead(200);
      const timer = setInterval(() => response.write(" ".repeat(100)), 10);
      response.on("close", () => clearInterval(timer));
      return;
    }
  }
}

async function tokens(address, body, headers = {}) {
  const response = await fetch(`${address}/token`, { method: "POST", headers, body: new URLSearchParams(body) });
  const value = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(value));
  return value;
}

// What a browser does, without one.
async function user(address, name, resource) {
  const cookies = new Map();
  const go = async (to, body) => {
    const headers = { cookie: [...cookies].map((pair) => pair.join("=")).join("; ") };
    const method = body ? "POST" : "GET";
    const response = await fetch(new URL(to, address), { method, headers, body, redirect: "manual" });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(";");
      const place = pair.indexOf("=");
      cookies.set(pair.slice(0, place), pair.slice(place + 1));
    }
    const next = response.headers.get("location");
    if (!next) throw new Error(`${to}: ${response.status} ${await response.text()}`);
    return next;
  };
  const verifier = randomBytes(32).toString("base64url");
  const about = { client_id: "browser", redirect_uri: "http://127.0.0.1/back", resource };
  let next = await go("/auth?" + new URLSearchParams({
    ...about, response_type: "code", scope: "openid read", state: "s",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
  }));
  for (const prompt of ["login", "consent"]) {
    next = await go(next, new URLSearchParams({ prompt, login: name, password: "any" }));
    next = await go(next);
  }
  const code = new URL(next).searchParams.get("code");
  if (!code) throw new Error(next);
  return tokens(address, { ...about, grant_type: "authorization_code", code, code_verifier: verifier });
}

async function test(url, address, otherAddress) {
  const get = (name) => url.searchParams.get(name);
  switch (url.pathname) {
    case "/test/machine": {
      const basic = "Basic " + Buffer.from(`${get("client")}:secret`).toString("base64");
      const body = { grant_type: "client_credentials", resource: get("resource"), scope: "read" };
      return tokens(address, body, { authorization: basic });
    }
    case "/test/user": return user(address, get("name"), get("resource"));
    case "/test/rotate": {
      keys = newKeys();
      own = provider(address, keys);
      return {};
    }
    case "/test/keys": {
      const count = fetches;
      if (get("answer")) [answer, fetches] = [get("answer"), 0];
      return { fetches: count };
    }
    case "/test/other": return { address: otherAddress };
  }
  throw new Error("there is no such test");
}

const listen = (handler) => new Promise((resolve) => {
  const server = createServer(handler).listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
});
let address, otherAddress;
const serve = (handler, own) => async (request, response) => {
  const url = new URL(request.url, own());
  if (url.pathname === "/jwks" && answer !== "good") return keysAnswer(response);
  if (url.pathname === "/jwks") fetches += 1;
  if (!url.pathname.startsWith("/test/")) return handler()(request, response);
  try {
    response.end(JSON.stringify(await test(url, own(), otherAddress)));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
};
address = await listen(serve(() => own, () => address));
otherAddress = await listen(serve(() => other, () => otherAddress));
own = provider(address, keys);
other = provider(otherAddress, keys);
console.log(address);
process.stdin.resume().on("end", () => process.exit());
