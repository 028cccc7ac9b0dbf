// Sign-in: with a key, at the issuer of AUTH=jwt, or a hint where this page cannot sign in.
import { caller } from "./api.js";
import { keepDrafts, restoreDrafts } from "./drafts.js";
import { Sign } from "./parts/icons.js";
import { problemText } from "./parts/load.js";
import { hasIssuer, isExpired, settings, signIn } from "./session.js";
import { html, useEffect, useRef, useState } from "./preact.js";
import { t } from "./words.js";

/** A page of its own; or, where the service has refused what one was signed in with, in front of what is there. */
export function SignIn() {
  const Way = { keys: Key, jwt: hasIssuer ? Issuer : Token, iam: Signature }[settings.auth];
  const frame = useRef();
  useEffect(() => (frame.current.querySelector("input") ?? frame.current).focus(), []);
  const role = isExpired() ? { role: "dialog", "aria-modal": "true" } : { role: "main" };
  return html`
    <div class="sign-in" ...${role} aria-labelledby="sign-in-title" tabindex="-1" ref=${frame}>
      <div class="sign-in-card card">
        <${Sign} />
        <h1 id="sign-in-title">${t("signIn.title")}</h1>
        <p class="muted">${isExpired() ? t("signIn.expired") : location.host}</p>
        <${Way} />
      </div>
    </div>
  `;
}

const Key = () => html`<${Secret} label=${t("signIn.key")} hint=${t("signIn.keyHint")} canBeKept />`;

const Token = () => html`<${Secret} label=${t("signIn.token")} hint=${t("signIn.tokenHint", settings)} />`;

/** A form for a key or a token, which is tried before it is taken. */
function Secret({ label, hint, canBeKept }) {
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const input = useRef();
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setBusy(true);
    const found = await problemOf(form.get("secret").trim(), canBeKept ? form.has("keep") : true);
    if (found === null) return;
    setBusy(false);
    setProblem(found);
    input.current.select();
  };
  return html`
    <form onSubmit=${submit}>
      <label>
        <span>${label}</span>
        <input
          ref=${input} name="secret" type="password" required autocomplete="current-password" spellcheck=${false}
          aria-invalid=${problem ? "true" : undefined} aria-describedby="sign-in-problem sign-in-hint"
        />
      </label>
      <p id="sign-in-problem" class="sign-in-problem" role="alert">${problem}</p>
      ${canBeKept && html`<label class="sign-in-keep"><input type="checkbox" name="keep" />${t("signIn.keep")}</label>`}
      <button class="primary" disabled=${isBusy}>${t("signIn.submit")}</button>
      <p id="sign-in-hint" class="sign-in-hint muted">${hint}</p>
    </form>
  `;
}

/** Sign in, and return null; or what is wrong. */
async function problemOf(secret, remember) {
  if (!/^[\x21-\x7e]+$/.test(secret)) return t("signIn.unknown"); // no header takes it
  try {
    const { owner } = await caller(secret);
    signIn(secret, owner, { remember });
    return null;
  } catch (error) {
    if (error.status === 401) return t("signIn.unknown");
    return problemText(error);
  }
}

function Issuer() {
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(Boolean(location.search));
  const doing = (done) => {
    setBusy(true);
    import("./openid.js").then(done).catch((failed) => {
      setError(failed);
      setBusy(false);
    });
  };
  useEffect(() => {
    if (location.search && settings.token_endpoint) doing((openid) => (openid.isBack() ? arrive(openid) : setBusy(false)));
  }, []);
  if (!settings.token_endpoint) return html`<${IssuerAway} />`;
  const leave = () => doing((openid) => (keepDrafts(), openid.leave()));
  const where = { issuer: new URL(settings.authorization_endpoint).host };
  return html`
    ${error && html`<p class="sign-in-problem" role="alert">${issuerProblem(error)}</p>`}
    <button type="button" class="primary" disabled=${isBusy} onClick=${leave}>
      ${isBusy ? t("signIn.busy") : t("signIn.withIssuer", where)}
    </button>
  `;
}

async function arrive(openid) {
  const { token, owner, ...more } = await openid.arrive();
  signIn(token, owner, { remember: true, ...more });
  restoreDrafts();
}

function issuerProblem(error) {
  if (error.error === "access_denied") return t("signIn.denied");
  return t("app.failed", { message: error.error_description ?? error.message });
}

/** The server has not learnt where one signs in: it asks again when the page is loaded again. */
const IssuerAway = () => html`
  <div class="problem" role="alert">
    <span>${t("signIn.issuerAway", settings)}</span>
    <button type="button" onClick=${() => location.reload()}>${t("app.again")}</button>
  </div>
  <details class="sign-in-other"><summary>${t("signIn.paste")}</summary><${Token} /></details>
`;

/** What a program sends instead: a page has no credentials of AWS. */
function Signature() {
  const region = /\.execute-api\.([a-z0-9-]+)\./.exec(location.host)?.[1] ?? "REGION";
  const command = [
    `curl --aws-sigv4 aws:amz:${region}:execute-api`,
    `--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"`,
    `-H "x-amz-security-token: $AWS_SESSION_TOKEN"`,
    new URL("v1/models", location.href).href,
  ].join(" \\\n  ");
  return html`
    <p>${t("signIn.signature")}</p>
    <pre class="sign-in-command" tabindex="0"><code>${command}</code></pre>
  `;
}
