// The button "Log Out" of Security Devices.
const [name] = arguments;
const token = await tokenOfSlot(name);
if (token.logoutAndDropAuthenticatedResources) {
  // Version 140.
  token.logoutAndDropAuthenticatedResources();
} else {
  token.logout();
  Cc["@mozilla.org/psm;1"].getService(Ci.nsINSSComponent).clearTLSCacheAndCancelAllConnections();
}
return [`logged in: ${isLoggedIn(token)}`];
