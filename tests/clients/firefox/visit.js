// Opens a page in the browser's window as a user would, and waits for it or for the error page in its place.
const [url, ...pins] = arguments;
const person = new Person(pins);
const { gBrowser } = Services.wm.getMostRecentWindow("navigator:browser");

const status = await new Promise(resolve => {
  const { STATE_STOP, STATE_IS_NETWORK } = Ci.nsIWebProgressListener;
  const listener = {
    onStateChange(progress, request, flags, code) {
      if (flags & STATE_STOP && flags & STATE_IS_NETWORK && progress.isTopLevel) {
        gBrowser.removeProgressListener(listener);
        resolve(code);
      }
    },
  };
  gBrowser.addProgressListener(listener);
  gBrowser.selectedBrowser.loadURI(Services.io.newURI(url), {
    triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal(),
  });
});
return [...person.leave(), status ? "not loaded" : "loaded"];
