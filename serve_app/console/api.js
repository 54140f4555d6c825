// Requests to the service that this page came from. The key is kept in this tab only.

const KEY = "nbmf.admin-key";
const TIMEOUT_MS = 10000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The answer as JSON. Throws ApiError for the service's errors, other errors where nothing answers. */
export async function ask(path, body) {
  const headers = {};
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  const options = { headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body !== undefined) {
    options.method = "POST";
    headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(`v1/${path}`, options);
  if (answer.ok) return answer.json();
  const text = await answer.text();
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch {
    // Serve's own answers are plain text.
  }
  throw new ApiError(answer.status, error.message ?? `the server answered ${answer.status}`);
}
