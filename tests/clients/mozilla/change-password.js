// The dialog "Change Password" of Security Devices, filled in and accepted.
const [name, oldPin, newPin] = arguments;
const person = new Person();
const parameters = Cc["@mozilla.org/embedcomp/dialogparam;1"].createInstance(Ci.nsIDialogParamBlock);
parameters.objects = Cc["@mozilla.org/array;1"].createInstance(Ci.nsIMutableArray);
parameters.objects.appendElement(await tokenOfSlot(name));
const window = Services.wm.getMostRecentWindow(null);
const dialog = window.openDialog("chrome://pippki/content/changepassword.xhtml", "", "chrome", parameters);
await new Promise(resolve => dialog.addEventListener("load", () => setTimeout(resolve, 0), { once: true }));
const fields = { oldpw: oldPin, pw1: newPin, pw2: newPin };
for (const [id, value] of Object.entries(fields)) {
  const field = dialog.document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new dialog.Event("input"));
}
dialog.document.getElementById("set_password").getButton("accept").click();
dialog.close();
return person.leave();
