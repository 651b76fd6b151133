// The button "Log In" of Security Devices.
const [name, ...pins] = arguments;
const person = new Person(pins);
const token = await tokenOfSlot(name);
let failure = "";
try {
  token.login(false);
} catch (error) {
  failure = error.name;
}
return [...person.leave(), failure ? `failed: ${failure}` : `logged in: ${isLoggedIn(token)}`];
