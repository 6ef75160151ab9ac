/** A run that measured nothing that can be trusted. A slow run is not one of these: it is valid, and misses its budget. */
export class InvalidRun extends Error {}
