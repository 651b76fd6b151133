// Writes a message in a window of its own and presses "Send".
const [to, subject, ...pins] = arguments;
const person = new Person(pins);
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
parameters.composeFields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
parameters.composeFields.to = to;
parameters.composeFields.subject = subject;
parameters.composeFields.body = "Signed with the card.\n";
parameters.identity = MailServices.accounts.defaultAccount.defaultIdentity;
parameters.type = Ci.nsIMsgCompType.New;
parameters.format = Ci.nsIMsgCompFormat.PlainText;
MailServices.compose.OpenComposeWindowWithParams(null, parameters);

const window = await until(() => Services.wm.getMostRecentWindow("msgcompose"));
const button = await until(() => window.composeEditorReady && window.document.getElementById("button-send"));
await until(() => !button.disabled);
button.click();
// The window closes when the message is out; it stays when something was refused.
const sent = await until(() => window.closed || (!window.gSendOperationInProgress && person.seen.length > 0 && "stays"));
if (sent == "stays") {
  window.gMsgCompose.bodyModified = false;
  window.close();
}
return [...person.leave(), sent === true ? "sent" : "not sent"];
