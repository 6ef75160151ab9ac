/** The largest request. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
