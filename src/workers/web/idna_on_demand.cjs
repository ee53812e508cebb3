// tr46 for whatwg-url, set up when a host needs it: its tables are thousands of arrays, which every realm would carry.
module.exports = {
  toASCII: (...rest) => require("idna-tables").toASCII(...rest),
  toUnicode: (...rest) => require("idna-tables").toUnicode(...rest),
};
