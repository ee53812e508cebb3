// After testharness.js: the tests end when the last script has been run, and their results go to the console.
setup({ explicit_done: true });
add_completion_callback((tests, status) => {
  const results = tests.map((test) => ({ name: test.name, status: test.status, message: test.message }));
  console.log(`WPT-RESULT ${JSON.stringify({ status: status.status, message: status.message, tests: results })}`);
});
