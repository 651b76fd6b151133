// Account Settings, End-To-End Encryption, S/MIME: the button "Select" for the signing certificate, then the box
// that has messages signed by default.
const person = new Person(arguments);
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const window = Services.wm.getMostRecentWindow("mail:3pane");
const account = MailServices.accounts.defaultAccount;
await window.MsgAccountManager("am-e2e.xhtml", account.incomingServer);
const page = await until(() => {
  const settings = window.document.getElementById("tabmail").currentTabInfo.browser?.contentDocument;
  const frame = settings?.getElementById("contentFrame")?.contentWindow;
  return frame?.location.href.endsWith("am-e2e.xhtml") && frame.document.readyState == "complete" && frame.gIdentity
    ? frame
    : null;
});
await page.smimeSelectCert("identity_signing_cert_name");
const certificate = account.defaultIdentity.getUnicharAttribute("signing_cert_name");
if (certificate) {
  page.document.getElementById("identity_sign_mail").checked = true;
  page.onSave();
}
return [...person.leave(), `certificate: ${certificate || "none"}`];
