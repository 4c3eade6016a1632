// What every part of the page reads: the newest picture, the session, and what a person has chosen to see.

export const page = {
  session: null,
  latest: null, // the newest picture
  now: Date.now(), // the picture's time, by the console's clock
  chosen: null, // the endpoint that the chart shows; null for all
  show: () => {}, // shows the newest picture again
};
