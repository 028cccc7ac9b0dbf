export default { en: {}, de: {}, zh: {} };
