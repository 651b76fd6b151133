// Whether this version has the policy that adds a module.
const { Policies } = ChromeUtils.importESModule("resource:///modules/policies/Policies.sys.mjs");
return ["SecurityDevices" in Policies ? "policy known" : "policy unknown"];
