// The node: calls and streams over one WebSocket, and what goes over HTTP.
import { signal } from "@preact/signals";

const KEY = "shoal.token";
const RETRY_FIRST = 500; // milliseconds
const RETRY_MAX = 8000;

export const isConnected = signal(false);
export const isSignedIn = signal(null); // null: not known yet

export class NodeError extends Error {
  constructor({ kind, message, detail, advice, type }) {
    super(message ?? detail ?? "");
    this.kind = kind ?? (type ?? "").replace("urn:shoal:error:", "");
    this.advice = advice ?? "";
  }
}

class Api {
  #socket = null;
  #calls = new Map();
  #number = 0;
  #retry = RETRY_FIRST;
  #opened = [];

  get token() {
    return localStorage.getItem(KEY) ?? "";
  }

  // Change the code in the address for a token, once; or take the one of last time.
  async signIn() {
    const code = new URLSearchParams(location.hash.slice(1)).get("link");
    if (code) {
      history.replaceState(null, "", "/#/");
      const answer = await this.#post("/v1/session", { code }, "");
      if (answer.ok) localStorage.setItem(KEY, (await answer.json()).token);
    }
    isSignedIn.value = Boolean(this.token) && (await this.#isValid());
    if (isSignedIn.value) this.#connect();
    return isSignedIn.value;
  }

  async signOut() {
    await fetch("/v1/session", { method: "DELETE", headers: this.#headers() });
    localStorage.removeItem(KEY);
    location.reload();
  }

  onOpen(action) {
    this.#opened.push(action);
  }

  // The result of a method.
  call(method, params = {}) {
    return this.stream(method, params).done;
  }

  // A method that reports: `onItem` gets each report, `done` the result, `cancel` ends it.
  stream(method, params = {}, onItem = () => {}) {
    const id = (this.#number += 1);
    const done = new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, onItem });
      if (this.#socket?.readyState === WebSocket.OPEN) {
        this.#socket.send(JSON.stringify({ id, method, params }));
      } else {
        this.#calls.delete(id);
        reject(new NodeError({ kind: "Away", message: "away" }));
      }
    });
    const cancel = () => {
      if (!this.#calls.delete(id)) return;
      if (this.#socket?.readyState === WebSocket.OPEN) {
        this.#socket.send(JSON.stringify({ id, cancel: true }));
      }
    };
    return { done, cancel };
  }

  // The drawing of a QR code, as an address for an image.
  async qr(text) {
    const response = await fetch(`/v1/qr?${new URLSearchParams({ text })}`, { headers: this.#headers() });
    if (!response.ok) throw new NodeError(await response.json());
    return URL.createObjectURL(new Blob([await response.text()], { type: "image/svg+xml" }));
  }

  // A picture of a person or a group; pictures.js has their places.
  async picture(place) {
    const response = await fetch(`/v1/pictures/${place}`, { headers: this.#headers() });
    if (!response.ok) throw new NodeError(await response.json());
    return response.status === 204 ? null : response.blob(); // there may be none any more
  }

  async backUp(account, password) {
    const answer = await this.#post("/v1/backup", { account, password: password || null }, this.token);
    if (!answer.ok) throw new NodeError(await answer.json());
    const name = /filename\*=UTF-8''(\S+)/.exec(answer.headers.get("content-disposition") ?? "");
    return { blob: await answer.blob(), name: decodeURIComponent(name?.[1] ?? "account.jac") };
  }

  // Offer a file; `onProgress` gets how much of it the node has.
  sendFile(file, params, onProgress) {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ ...params, name: file.name });
    request.open("POST", `/v1/files?${query}`);
    request.setRequestHeader("Authorization", `Bearer ${this.token}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    return new Promise((resolve, reject) => {
      request.onload = () =>
        request.status === 200 ? resolve() : reject(new NodeError(JSON.parse(request.responseText)));
      request.onerror = () => reject(new NodeError({ kind: "Away", message: "away" }));
      request.send(file);
    });
  }

  async getFile({ conversation, message, account, name }) {
    const query = new URLSearchParams({ account, name });
    const address = `/v1/files/${conversation}/${message}?${query}`;
    const response = await fetch(address, { method: "POST", headers: this.#headers() }); // fetched if it is not here
    if (!response.ok) throw new NodeError(await response.json());
    return { blob: await response.blob(), name };
  }

  #headers(token = this.token) {
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  #post(path, fields, token) {
    const headers = { "Content-Type": "application/json", ...this.#headers(token) };
    return fetch(path, { method: "POST", headers, body: JSON.stringify(fields) });
  }

  async #isValid() {
    const response = await fetch("/v1/node.status", { headers: this.#headers() });
    return response.status !== 401;
  }

  #connect() {
    const address = `ws://${location.host}/v1/socket`;
    const socket = new WebSocket(address, ["shoal.v1", `token.${this.token}`]);
    this.#socket = socket;
    socket.onopen = () => {
      this.#retry = RETRY_FIRST;
      isConnected.value = true;
      for (const action of this.#opened) action();
    };
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = () => this.#lost();
  }

  #take({ id, item, result, error }) {
    const call = this.#calls.get(id);
    if (!call) return;
    if (item !== undefined) {
      call.onItem(item);
      return;
    }
    this.#calls.delete(id);
    if (error) call.reject(new NodeError(error));
    else call.resolve(result);
  }

  async #lost() {
    isConnected.value = false;
    for (const call of this.#calls.values()) call.reject(new NodeError({ kind: "Away", message: "away" }));
    this.#calls.clear();
    await new Promise((wake) => setTimeout(wake, this.#retry));
    this.#retry = Math.min(RETRY_MAX, 2 * this.#retry);
    try {
      isSignedIn.value = await this.#isValid();
    } catch {
      // The node is away: try again.
    }
    if (isSignedIn.value) this.#connect();
  }
}

export const api = new Api();
