// An account of a person who sends over this SMTP port of the loopback interface and reads nothing.
const [address, port] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.createIncomingServer("nobody", "localhost", "pop3");
const outgoing = MailServices.outgoingServer.createServer("smtp");
const smtp = outgoing.QueryInterface(Ci.nsISmtpServer);
smtp.hostname = "127.0.0.1";
smtp.port = Number(port);
outgoing.socketType = Ci.nsMsgSocketType.plain;
outgoing.authMethod = Ci.nsMsgAuthMethod.none;
MailServices.outgoingServer.defaultServer = outgoing;

const identity = MailServices.accounts.createIdentity();
identity.email = address;
identity.fullName = "Test";
identity.smtpServerKey = outgoing.key;
identity.doFcc = false;
identity.composeHtml = false;
const account = MailServices.accounts.createAccount();
account.incomingServer = server;
account.addIdentity(identity);
MailServices.accounts.defaultAccount = account;
return [];
