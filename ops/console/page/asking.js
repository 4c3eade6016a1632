// Asks the console; what is wrong comes back as one sentence for the person.

import { page } from "./state.js";

export async function ask(path, body = null) {
  const options = body === null ? {} : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-CSRF-Token": page.session.csrf } };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The console does not answer.");
  }
  const type = response.headers.get("Content-Type") ?? "";
  const answer = type.startsWith("application/json") ? await response.json() : { error: (await response.text()).trim() };
  if (!response.ok) throw new Error(answer.error || `The console answered ${response.status}.`);
  return answer;
}
