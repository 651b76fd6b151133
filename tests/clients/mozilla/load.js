// The dialog behind the button "Load" of Security Devices.
const [name, path] = arguments;
await devices.addModule(name, path, 0, 0);
return [];
