// What every page has: the session, the search that `/` focuses, signing out, the reader's zone, the dialog.

import { ask } from "./asking.js";
import { $, theirs } from "./elements.js";
import { page } from "./state.js";

export function listenToHeader() {
  $("zone").textContent = ` (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
  $("dialog-cancel").addEventListener("click", () => $("dialog").close());
  $("logout").addEventListener("click", async () => { await ask("/api/logout", {}); location.assign("/login"); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, dialog");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    $("q").focus();
    $("q").select();
  });
}

// The session, with the names that the page offers; false where the reader must sign in first.
export async function openSession() {
  const response = await fetch("/api/session");
  if (response.status === 401) { location.reload(); return false; }
  page.session = await response.json();
  page.now = Date.now();
  $("logout").hidden = !page.session.signs_out;
  $("who").replaceChildren(theirs(page.session.who));
  document.documentElement.classList.toggle("only-sees", !page.session.may_act);
  return true;
}
