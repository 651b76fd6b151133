// Opens a page in the browser's window and accepts the certificate dialog. When the PIN dialog is there it makes the file
// `asked`; it answers once that file is gone. Does not wait, since the window takes no command while a dialog is open.
const [url, asked, pin] = arguments;
const { gBrowser, document } = Services.wm.getMostRecentWindow("navigator:browser");
// The stripes of a window that is driven by a program.
document.documentElement.removeAttribute("remotecontrol");

const topics = ["cert-dialog-loaded", "common-dialog-loaded"];
const observer = {
  observe(subject, topic) {
    if (topic == "cert-dialog-loaded") {
      setTimeout(() => subject.getButton("accept").click(), 0);
    } else {
      topics.forEach(topic => Services.obs.removeObserver(observer, topic));
      this.answer(subject.Dialog.ui);
    }
  },

  async answer({ password1Textbox, button0 }) {
    await IOUtils.writeUTF8(asked, "");
    while (await IOUtils.exists(asked)) {
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    password1Textbox.value = pin;
    button0.click();
  },
};
topics.forEach(topic => Services.obs.addObserver(observer, topic));
gBrowser.selectedBrowser.loadURI(Services.io.newURI(url), {
  triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal(),
});
return [];
