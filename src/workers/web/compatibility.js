// As of which day the platform behaves, where its behaviour changed (docs/workers.md has the table).
let date = "";
export const setCompatibilityDate = (text) => { date = text ?? ""; };
// Who names no day gets what is newest.
export const behavesAsOf = (day) => date === "" || date >= day;
