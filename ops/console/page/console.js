// The page: takes a picture a second from /api/live and has every part show it.

import { dryRun, redrive, sendSample, showActs } from "./acts.js";
import { $, h, part, theirs } from "./elements.js";
import { showEndpoints } from "./endpoints.js";
import { listenToChart, showChart } from "./flow.js";
import { listenToHeader, openSession } from "./header.js";
import { showEvents, showGaps, showRejections } from "./lists.js";
import { showSide } from "./side.js";
import { page } from "./state.js";
import { mark, showTiles, showVerdict } from "./verdict.js";
import { when } from "./words.js";

function show(picture) {
  page.latest = picture;
  page.now = picture.now;
  $("main").classList.remove("stale");
  showVerdict(picture);
  showTiles(picture);
  showChart(picture);
  showSide(picture);
  showEndpoints(picture);
  showGaps(picture);
  showEvents(picture);
  showRejections(picture);
  showActs(picture);
  $("clock").replaceChildren("live · ", when(picture.now));
  const pulse = $("pulse");
  pulse.className = "dot well";
}

let lost = null;

function showLost() {
  lost ??= Date.now();
  $("main").classList.add("stale");
  $("pulse").className = "dot bad";
  $("clock").replaceChildren("no answer");
  const box = $("verdict");
  box.classList.remove("well", "warn");
  box.classList.add("bad");
  part("verdict-mark", "bad", mark);
  part("verdict-title", "The console itself does not answer", (text) => text);
  part("verdict-sub", lost, () => [h("span", {}, "Since ", when(lost), page.latest ? ["; what is shown is of ", when(page.latest.now)] : "", ". Start it again: dropstream console. This page goes on by itself.")]);
}

function listen() {
  const stream = new EventSource("/api/live");
  stream.onmessage = (event) => { lost = null; show(JSON.parse(event.data)); };
  stream.addEventListener("again", () => { stream.close(); listen(); });
  stream.onerror = () => {
    showLost();
    if (stream.readyState !== EventSource.CLOSED) return;
    stream.close();
    setTimeout(begin, 2000);
  };
}

async function begin() {
  try {
    if (!(await openSession())) return;
  } catch {
    showLost();
    setTimeout(begin, 2000);
    return;
  }
  $("prefix").replaceChildren(theirs(`${page.session.prefix}*`));
  listen();
}

listenToHeader();
$("life-close").addEventListener("click", () => { $("life").hidden = true; $("events-title").focus(); });
$("act-send").addEventListener("click", sendSample);
$("act-dry").addEventListener("click", dryRun);
$("act-redrive").addEventListener("click", () => redrive());
page.show = () => show(page.latest);
listenToChart();
begin();
