// The pages behind mailed links: they confirm an address, set a new password or accept an invitation, through the same API as everybody. The token
// stands behind the `#`, which no browser sends, and is used only when somebody presses a button: programs that look through mails open links too.

const VERIFY = 'mutation EmailVerify($token: String!) { done: emailVerify(input: {token: $token}) { errors { message } } }';
const RESET = `mutation PasswordReset($token: String!, $newPassword: String!) {
  done: passwordReset(input: {token: $token, newPassword: $newPassword}) { errors { message } }
}`;
const FORGOTTEN = 'mutation PasswordForgotten($email: String!) { done: passwordResetRequest(input: {email: $email}) { errors { message } } }';
const ACCEPT = 'mutation InvitationAccept($token: String!) { done: invitationAccept(input: {token: $token}) { errors { message } } }';
const SIGN_IN = 'mutation SignIn($email: String!, $password: String!) { done: signIn(input: {email: $email, password: $password}) { errors { message } } }';
const SIGN_UP = `mutation SignUp($email: String!, $password: String!, $name: String!, $token: String!) {
  done: signUp(input: {email: $email, password: $password, name: $name, invitationToken: $token}) { errors { message } }
}`;
const WHO = 'query Viewer { viewer { user { name email } } }';
const EXPLANATIONS = {
  THROTTLED: 'That was a little fast. Wait a moment, then try again.',
  UNAUTHENTICATED: 'Your session has ended. Reload this page.',
  PERMISSION_DENIED: 'This cannot be done with what you are signed in with.',
};
const UNKNOWN = 'The server does not answer as it should. Try again in a moment.';
const NOBODY = { credentials: 'omit' };
const JOINED = 'You have joined. You can close this page.';

const EMAIL = { name: 'email', label: 'E-mail address', type: 'email', autocomplete: 'username' };
const PASSWORD = { name: 'password', label: 'Password', type: 'password', autocomplete: 'current-password' };
const NEW_PASSWORD = { name: 'newPassword', label: 'New password', type: 'password', autocomplete: 'new-password' };
const NAME = { name: 'name', label: 'What others call you', type: 'text', autocomplete: 'name' };

const byId = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get('token');

function element(name, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

function say(text, { wrong = false } = {}) {
  byId('notice').textContent = text;
  byId('notice').className = wrong ? 'wrong' : '';
}

class Refused extends Error {}

/** Asks the API; what it refuses is thrown with a sentence for people. What a token alone decides is asked for `NOBODY`. */
async function ask(query, variables, { credentials = 'same-origin' } = {}) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query, variables }),
    cache: 'no-store',
    credentials,
    referrerPolicy: 'no-referrer',
  });
  const { data, errors } = await response.json();
  const code = errors?.[0].extensions?.code;
  if (errors) throw Object.assign(new Refused(EXPLANATIONS[code] ?? UNKNOWN), { code });
  const refused = data.done?.errors ?? [];
  if (refused.length) throw new Refused(refused.map((error) => error.message).join(' '));
  return data;
}

/** A form that does something with what is written into it, and says what came of it. */
function form({ heading, fields = [], button, work, done }) {
  const inputs = fields.map(({ label, ...field }) => element('label', { text: label }, element('input', { ...field, required: true })));
  const submit = element('button', { type: 'submit', text: button });
  const made = element('form', {}, ...(heading ? [element('h2', { text: heading })] : []), ...inputs, submit);
  made.addEventListener('submit', async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(made));
    submit.disabled = true;
    say('One moment …');
    try {
      await work(given);
      // The token was used up: nobody finds it in the browser's history.
      history.replaceState(null, '', location.pathname);
      byId('forms').replaceChildren();
      say(done);
    } catch (error) {
      submit.disabled = false;
      say(error instanceof Refused ? error.message : UNKNOWN, { wrong: true });
    }
  });
  return made;
}

function verify() {
  say('Confirm that this is your e-mail address.');
  return [form({ button: 'Confirm', work: () => ask(VERIFY, { token }, NOBODY), done: 'Your address is confirmed. You can close this page.' })];
}

function reset() {
  if (!token) {
    say('Forgotten it, or want another one? A mail brings you the link.');
    const done = 'If there is such an account, a mail with a link is on its way.';
    return [form({ fields: [EMAIL], button: 'Send the mail', work: (given) => ask(FORGOTTEN, given, NOBODY), done })];
  }
  say('With it you are signed out everywhere else.');
  const done = 'This is your password now. Sign in with it.';
  return [form({ fields: [NEW_PASSWORD], button: 'Set the password', work: (given) => ask(RESET, { token, ...given }, NOBODY), done })];
}

async function signedIn() {
  try {
    return (await ask(WHO)).viewer.user;
  } catch (error) {
    if (error.code === 'UNAUTHENTICATED' || error.code === 'SESSION_TERMINATED' || error.code === 'TOKEN_EXPIRED') return null;
    throw error;
  }
}

async function invitation() {
  const user = await signedIn();
  const asNew = form({
    heading: 'I am new here',
    fields: [NAME, EMAIL, { ...NEW_PASSWORD, name: 'password', label: 'Password' }],
    button: 'Sign up and join',
    work: (given) => ask(SIGN_UP, { token, ...given }),
    done: JOINED,
  });
  const asMyself = form({
    heading: user ? 'I have another account' : 'I have an account',
    fields: [EMAIL, PASSWORD],
    button: 'Sign in and join',
    work: async (given) => {
      await ask(SIGN_IN, given);
      await ask(ACCEPT, { token });
    },
    done: JOINED,
  });
  if (!user) {
    say('Join with the address that the invitation was sent to.');
    return [asNew, asMyself];
  }
  say(`You are signed in as ${user.name} (${user.email}).`);
  return [form({ button: 'Join', work: () => ask(ACCEPT, { token }), done: JOINED }), asMyself];
}

const PAGES = {
  '/verify': ['Your e-mail address', verify],
  '/reset': ['A new password', reset],
  '/invitation': ['You are invited', invitation],
};

async function show() {
  const [title, forms] = PAGES[location.pathname.replace(/\/+$/, '')];
  byId('title').textContent = document.title = title;
  try {
    if (!token && forms !== reset) say('Something of the link is missing. Open it from the mail again, or copy all of it.', { wrong: true });
    else byId('forms').append(...(await forms()));
  } catch (error) {
    say(error instanceof Refused ? error.message : UNKNOWN, { wrong: true });
  }
}

window.addEventListener('hashchange', () => location.reload());
show();
