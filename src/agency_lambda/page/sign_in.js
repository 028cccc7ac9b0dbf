import { signIn } from "./session.js";
import { html } from "./vendor/preact.js";

export function SignIn() {
  const submit = (event) => {
    event.preventDefault();
    signIn(new FormData(event.target).get("key"));
  };
  return html`<form class="sign-in" onSubmit=${submit}><input name="key" type="password" /><button>OK</button></form>`;
}
