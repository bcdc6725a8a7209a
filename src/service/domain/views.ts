/** Addresses of the dashboard's views: the server answers them with the application, whose router reads them. */
export const VIEWS = {
  jobs: "/",
  login: "/login",
  newJob: "/new",
  job: "/jobs/:id",
  jobView: "/jobs/:id/:view",
  compare: "/compare",
  files: "/files",
  file: "/files/:id",
  models: "/models",
  playground: "/playground",
  held: "/held",
  review: "/held/:id",
  admin: "/admin",
  adminView: "/admin/:view",
} as const;
export type ViewName = keyof typeof VIEWS;
