import { useState } from "preact/hooks";
import { type ApiError, type Principal, send } from "./api.ts";
import { Dialog } from "./dialog.tsx";

/** A dialog that begins a session with a token. The token goes to the tracker once, and is not kept by the page. */
export function SignIn(props: {
  readonly reason: string;
  readonly onClose: () => void;
  readonly onPrincipal: (principal: Principal) => void;
}) {
  const { reason, onClose, onPrincipal } = props;
  const [failure, setFailure] = useState("");
  const [isBusy, setBusy] = useState(false);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get("token");
    setBusy(true);
    try {
      onPrincipal(await send<Principal>("POST", "/session", { token: `${token}`.trim() }));
      onClose();
    } catch (error) {
      setFailure((error as ApiError).message);
      setBusy(false);
    }
  }

  return (
    <Dialog title="Sign in" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{reason}</p>
        <label>
          Token
          <input name="token" type="password" autocomplete="current-password" required spellcheck={false} />
        </label>
        <p class="hint">
          <code>chihaya admin token NAME --scopes write</code> makes one.
        </p>
        <p class="failure" role="alert">
          {failure}
        </p>
        <div class="menu">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={isBusy}>
            Sign in
          </button>
        </div>
      </form>
    </Dialog>
  );
}
