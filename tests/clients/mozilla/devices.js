// What Security Devices shows of the module under test.
const statuses = ["DISABLED", "NOT_PRESENT", "UNINITIALIZED", "NOT_LOGGED_IN", "LOGGED_IN", "READY"];
const module = await findModule();
const lines = module ? [`module: ${module.name} ${module.libName}`] : [];
for (const slot of await moduleSlots()) {
  const status = statuses.find(name => Ci.nsIPKCS11Slot[`SLOT_${name}`] == slot.status);
  lines.push(`slot: ${slot.name}: ${slot.tokenName || "nothing"}: ${status}`);
}
return lines;
