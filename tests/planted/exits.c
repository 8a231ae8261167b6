// No server: ends at once. What it does from execve on is what any static program does.
int main(void) {
  return 0;
}
