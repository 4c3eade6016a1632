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

// Asks for lines of JSON, and gives each as it comes.
export async function* askLines(path, signal) {
  let reader, rest = "";
  try {
    const response = await fetch(path, { signal });
    if (response.status === 401) location.reload();
    if (!response.ok) throw new Error((await response.text()).trim() || `The console answered ${response.status}.`);
    reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const whole = (rest + value).split("\n");
      rest = whole.pop();
      for (const line of whole) yield JSON.parse(line);
    }
  } catch (error) {
    throw error instanceof TypeError ? new Error("The console does not answer.") : error;
  }
}
