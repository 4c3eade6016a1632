"""Reading topics in the order of `raw`, in bounded memory."""
