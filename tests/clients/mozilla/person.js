// The person in front of the application: types PINs, picks the first certificate, notes what was shown.
// Comes before every script. PINs are typed in order; "-" stands for Cancel, and so does their end.
class Person {
  static topics = ["common-dialog-loaded", "cert-dialog-loaded", "domwindowopened"];

  constructor(pins = []) {
    this.pins = [...pins];
    this.seen = [];
    Person.topics.forEach(topic => Services.obs.addObserver(this, topic));
  }

  // Returns what was shown, a line each.
  leave() {
    Person.topics.forEach(topic => Services.obs.removeObserver(this, topic));
    return this.seen;
  }

  observe(subject, topic) {
    if (topic == "domwindowopened") {
      // Thunderbird does not announce its certificate picker in another way.
      subject.addEventListener("load", () => {
        if (subject.location.href.endsWith("/certpicker.xhtml")) {
          setTimeout(this.pickCertificate(subject.document.getElementById("certPicker")), 0);
        }
      });
      return;
    }
    const answer = topic == "cert-dialog-loaded" ? this.pickCertificate(subject) : this.answer(subject.Dialog);
    // A dialog must have finished loading before it can be closed.
    setTimeout(answer, 0);
  }

  answer({ args, ui }) {
    if (args.promptType != "promptPassword") {
      this.seen.push(`${args.promptType}: ${args.text}`);
      return () => ui.button0.click();
    }
    this.seen.push(`PIN: ${args.text}`);
    const pin = this.pins.shift() ?? "-";
    return () => {
      ui.password1Textbox.value = pin;
      (pin == "-" ? ui.button1 : ui.button0).click();
    };
  }

  pickCertificate(dialog) {
    const items = [...dialog.ownerDocument.getElementById("nicknames").menupopup.children];
    this.seen.push(`certificates: ${items.map(item => item.label).join(", ")}`);
    return () => dialog.getButton("accept").click();
  }
}

// Waits until a function returns something true, and returns that.
async function until(condition) {
  for (;;) {
    const result = condition();
    if (result) {
      return result;
    }
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

const devices = Cc["@mozilla.org/security/pkcs11moduledb;1"].getService(Ci.nsIPKCS11ModuleDB);

// The module under test, if it is there. In version 140 lists are of another kind.
async function findModule() {
  return [...(await devices.listModules())].find(module => module.libName?.includes("jpki"));
}

// Its slots, as Security Devices shows them.
async function moduleSlots() {
  const module = await findModule();
  return module ? [...(module.slots ?? module.listSlots())] : [];
}

async function tokenOfSlot(name) {
  const slots = await moduleSlots();
  return slots.map(slot => slot.getToken()).find(token => token.tokenName == name);
}

// A function in version 140.
function isLoggedIn(token) {
  return typeof token.isLoggedIn == "function" ? token.isLoggedIn() : token.isLoggedIn;
}
