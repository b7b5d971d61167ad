// Server-sent events: what comes, and whether the server is there. It is tried again by itself.

const FIRST_MS = 1000;
const MOST_MS = 15000;

export class Stream {
  /** `heard(name, data)` for each event; `away(since)`: the server has gone at that time, null: it is there. */
  constructor(heard, away) {
    this.heard = heard;
    this.away = away;
    this.wait = FIRST_MS;
    this.since = null;
  }

  /** Listen to another address. */
  open(address) {
    this.close();
    this.address = address;
    const source = new EventSource(address);
    this.source = source;
    source.onopen = () => this.here();
    for (const name of ["state", "board"]) {
      source.addEventListener(name, (event) => {
        this.here();
        this.heard(name, JSON.parse(event.data));
      });
    }
    source.onerror = () => {
      this.since = this.since || new Date();
      this.away(this.since);
      if (source.readyState === EventSource.CLOSED) this.later();
    };
  }

  here() {
    this.wait = FIRST_MS;
    if (this.since) {
      this.since = null;
      this.away(null);
    }
  }

  /** The browser has given up: the server said no, or something else than a stream. Ask why, and try again. */
  async later() {
    const address = this.address;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.address === address && this.open(address), this.wait);
    this.wait = Math.min(MOST_MS, this.wait * 2);
    const stop = new AbortController();
    try {
      const answer = await fetch(address, { signal: stop.signal });
      if (answer.status === 401) location.reload();
      if (answer.status === 422) clearTimeout(this.timer);
      if (answer.status === 422 || answer.status === 503) this.heard("wrong", await answer.json());
    } catch {
      // away, as was said
    }
    stop.abort();
  }

  close() {
    clearTimeout(this.timer);
    if (this.source) this.source.close();
    this.source = null;
  }
}
