/** A part of the terminal that is redrawn in place, or plain lines where stdout is no terminal. */

const EVENTS_MAX = 6;
/** Characters of a line where there is no terminal to tell. */
const COLUMNS = 160;

export class Screen {
  private readonly events: string[] = [];
  private shown: readonly string[] = [];
  /** Lines that are redrawn. */
  private drawn = 0;

  constructor() {
    // Whoever reads our output has seen enough.
    process.stdout.once("error", () => process.exit(1));
  }

  /** Milliseconds between two frames that are worth looking at. */
  get interval(): number {
    return process.stdout.isTTY ? 150 : 2500;
  }

  /** Shows `lines` in the place of the frame before. */
  frame(lines: readonly string[]): void {
    this.shown = lines;
    if (process.stdout.isTTY) this.draw();
    else process.stdout.write(`${lines.map((line) => line.slice(0, COLUMNS)).join("\n")}\n\n`);
  }

  /** Something happened: stays below the frame for a while. */
  event(text: string): void {
    if (!process.stdout.isTTY) {
      process.stdout.write(`* ${text}\n`);
      return;
    }
    this.events.push(text);
    if (this.events.length > EVENTS_MAX) this.events.shift();
    this.draw();
  }

  private draw(): void {
    const { columns, rows } = process.stdout;
    const lines = [...this.shown, ...this.events.map((text) => `* ${text}`)]
      .slice(0, Math.max(1, (rows || 40) - 2))
      .map((line) => line.slice(0, Math.max(20, (columns || 80) - 1)));
    const up = this.drawn === 0 ? "" : `\x1b[${this.drawn}A`;
    process.stdout.write(`${up}\r${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
    this.drawn = lines.length;
  }
}
