// The setup page: creates the first admin with the token that the server printed at its start.
//
// The token stands in the fragment of the address, which browsers send to nobody. It is taken out of
// the address bar at once. What comes from the server reaches the document as text nodes only.

const byId = (id) => document.getElementById(id);

const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
history.replaceState(null, "", location.pathname);

/** Says what happened, in the tone of the result box. */
function say(tone, ...lines) {
  const result = byId("result");
  result.dataset.tone = tone;
  result.replaceChildren(...lines.map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
}

/** What a problem document says (RFC 9457), or a word of our own. */
async function problemOf(response) {
  try {
    const { detail, remediation } = await response.json();
    return [detail, remediation];
  } catch {
    return [`The server answered ${response.status}.`];
  }
}

/** Text as one word of a POSIX shell. */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function showNext(name) {
  const json = "-H 'content-type: application/json'";
  const body = JSON.stringify({ name, password: "…" });
  byId("who").textContent = name;
  byId("login").textContent = `curl ${json} -d ${quoted(body)} ${location.origin}/auth/login`;
  byId("key").textContent =
    `curl ${json} -H 'authorization: Bearer <access token>' -d '{"name":"my server"}' ${location.origin}/api/keys`;
  byId("create").hidden = true;
  byId("done").hidden = false;
  byId("done").focus();
}

async function create(name, password) {
  const response = await fetch("/api/setup", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, name, password }),
  });
  if (!response.ok) {
    say("bad", ...(await problemOf(response)));
    return;
  }
  const { user } = await response.json();
  showNext(user.name);
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (byId("password").value !== byId("again").value) {
    say("bad", "The two passwords differ.");
    byId("again").focus();
    return;
  }
  byId("submit").disabled = true;
  say("", "Creating the admin …");
  try {
    await create(byId("name").value, byId("password").value);
  } catch {
    say("bad", "The server cannot be reached.");
  } finally {
    byId("submit").disabled = false;
  }
});

if (!token) {
  say("warn", "This address has no setup token.", "Open the whole link that the server printed when it started.");
}
