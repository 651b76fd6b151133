// The button "Log Out" of Security Devices.
const [name] = arguments;
const token = await tokenOfSlot(name);
token.logout();
Cc["@mozilla.org/psm;1"].getService(Ci.nsINSSComponent).clearTLSCacheAndCancelAllConnections();
return [`logged in: ${token.isLoggedIn}`];
