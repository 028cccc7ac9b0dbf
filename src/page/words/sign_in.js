export default {
  title: ["Sign in", "Anmelden", "登录"],
  key: ["Key", "Schlüssel", "密钥"],
  keyHint: [
    "Whoever operates this service makes keys.",
    "Schlüssel vergibt, wer diesen Dienst betreibt.",
    "密钥由本服务的运营者发放。",
  ],
  keep: ["Keep the key in this browser", "Schlüssel in diesem Browser aufbewahren", "在此浏览器中保存密钥"],
  token: ["Token", "Token", "令牌"],
  tokenHint: [
    "A token (JWT) of {issuer} for this service. It is kept until this tab is closed.",
    "Ein Token (JWT) von {issuer} für diesen Dienst. Es bleibt, bis dieser Tab geschlossen wird.",
    "由 {issuer} 为本服务签发的令牌（JWT），保存到此标签页关闭为止。",
  ],
  submit: ["Sign in", "Anmelden", "登录"],
  unknown: ["That is not known here.", "Das ist hier nicht bekannt.", "此处无法识别。"],
  withIssuer: ["Sign in at {issuer}", "Bei {issuer} anmelden", "通过 {issuer} 登录"],
  busy: ["Signing in…", "Anmeldung läuft …", "正在登录…"],
  denied: [
    "The sign-in was cancelled, or you may not use this service.",
    "Die Anmeldung wurde abgebrochen, oder Sie dürfen diesen Dienst nicht benutzen.",
    "登录已取消，或您无权使用本服务。",
  ],
  issuerAway: [
    "{issuer} does not answer, so nobody can sign in there at the moment.",
    "{issuer} antwortet nicht, darum kann sich dort gerade niemand anmelden.",
    "{issuer} 没有响应，目前无法在那里登录。",
  ],
  paste: ["Enter a token instead", "Stattdessen ein Token eingeben", "改为输入令牌"],
  expired: [
    "Your sign-in has ended. Sign in again to go on: what you typed is still here.",
    "Ihre Anmeldung ist abgelaufen. Melden Sie sich neu an, dann geht es weiter: Getipptes ist noch da.",
    "登录已失效。请重新登录以继续：您输入的内容仍在。",
  ],
  signature: [
    "This service asks for requests with a signature of AWS, which a page cannot make. Programs can:",
    "Dieser Dienst verlangt Anfragen mit einer Signatur von AWS. Eine Seite kann das nicht, Programme schon:",
    "本服务要求带有 AWS 签名的请求，网页无法生成，程序可以：",
  ],
};
